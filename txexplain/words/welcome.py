"""What the first screen says to who has read no lesson yet: what this is, the plan of the model in three parts, and where one begins."""

from __future__ import annotations

HEADING = "Welcome"
LONG = """\
**Look into GPT-2 while it guesses a text's next word.** The picture has three parts, from left to right:

1. **Embedding.** The text is cut into tokens, words or parts of words; each becomes {d} numbers.
2. **Blocks**, {blocks} of them. In each, *attention* takes over something from earlier tokens, and an *MLP* works on each token alone.
3. **Output.** The last token's numbers become a share for each of {vocabulary} tokens that may come next.

**`{lessons}` begins the first lesson.** `{help}` lists all keys, `esc` closes this."""
SHORT = """\
**See how GPT-2 guesses a text's next word.**
1. **embed**: the text becomes tokens, each {d} numbers
2. **{blocks} blocks**: tokens look back, and change
3. **out**: a share for each of {vocabulary} next tokens

**`{lessons}` begins the first lesson**; `{help}` helps, `esc` closes"""
