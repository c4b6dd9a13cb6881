"""One part for each extension point of Adaptrix."""
