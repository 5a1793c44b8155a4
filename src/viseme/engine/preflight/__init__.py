"""A look at the media before anything is paid for: what they are, and whether the vendor can use them."""
