"""The quiz: which of two photos excites a unit? From galleries to a page, and to its scores."""
