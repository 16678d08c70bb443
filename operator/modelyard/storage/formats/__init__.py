"""What an artifact's files are: recognised from their names and first bytes, headers checked, pickles scanned."""
