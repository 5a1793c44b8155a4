"""Downloads: results brought home, checked, under their final names."""
