"""The signs of numbers by language, where Django's own do not fit our pages."""
