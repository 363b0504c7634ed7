//! Bad input, each with its own clear message; the command line.
