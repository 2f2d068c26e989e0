"""What the app and the commands share: scenes, screens as files, lessons, actions, settings. Free of Textual."""
