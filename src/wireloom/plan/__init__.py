"""What is wanted against what was seen becomes a Plan: data that apply carries out."""
