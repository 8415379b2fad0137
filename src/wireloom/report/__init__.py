"""What people and programs read: terminal, JSON, SVG, DOT."""
