"""What viseme costs, measured against what a good engineer would write instead."""
