# Nothing of it matters to what is checked.
