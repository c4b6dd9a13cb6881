"""What was asked and answered on the command line, kept on this machine."""
