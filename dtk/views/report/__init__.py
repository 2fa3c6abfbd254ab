"""``task-report``: a task as one page for a browser, without a network and without JavaScript."""
