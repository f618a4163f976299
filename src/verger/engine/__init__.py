"""The only package that imports pyspark: sessions, tasks, and the stages that run in them."""
