"""What a person looks at: figures, tables, pages, progress."""
