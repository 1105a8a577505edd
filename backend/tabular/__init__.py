"""The story of images told for tables: a file in, columns understood, models compared, one kept, answers out.

scikit-learn is used here and in `engine` alone. Nothing here knows jobs, HTTP or pictures.
"""
