"""The terminal: asked, read key by key, written to thriftily, left as it was. What mends Textual is here."""
