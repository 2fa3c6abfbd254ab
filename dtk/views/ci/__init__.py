"""How a task and a mistake are told to a forge: log groups, annotations, a job's summary, a code-quality file.

In: tasks, stages, plans and problems. Out: text in the forge's own form. Must not know where it is written to.
"""
