"""Generated problems with exact answers, by task, and the families of tasks that adapters learn."""
