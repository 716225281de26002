"""Binary32 units: round to nearest even, subnormals flushed, one NaN; see `csnn.binary32`."""
