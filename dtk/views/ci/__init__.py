"""Output for forges: log groups, annotations, a job's summary, and a code-quality file.

In: tasks, stages, plans and problems. Out: text in the format of the forge.
Must not know: where the text is written.
"""
