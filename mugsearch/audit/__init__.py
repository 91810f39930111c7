"""The record of every act. Rooms say `from mugsearch.audit import services as audit` and use act, record, refuse."""
