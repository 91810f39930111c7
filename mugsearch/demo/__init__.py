"""What `./run demo` puts into an empty installation: people who sign in, photographs, one search to examine."""
