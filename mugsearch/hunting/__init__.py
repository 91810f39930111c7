"""Looking for what should be gone, everywhere it could be. It reads and changes nothing."""
