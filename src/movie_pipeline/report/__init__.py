"""The report: frames to sortable tables, tables and charts to one self-contained page, and a summary in plain text."""
