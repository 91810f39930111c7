"""The auditors' desk: reading the record. It knows cases and people by name, which the record itself must not."""
