//! Files, by sftp and by scp.
