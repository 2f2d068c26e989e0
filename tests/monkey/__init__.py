"""A monkey at the keyboard: random keys, clicks, pastes and resizes, with the app's promises looked at after each."""
