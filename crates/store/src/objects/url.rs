//! Where objects are, as the server file says it.

use std::path::PathBuf;
use std::str::FromStr;

use super::ObjectError;

/// Where objects are: `file:DIR` (relative to the data directory), `s3://BUCKET/PREFIX` or `gs://BUCKET/PREFIX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectsUrl {
    /// A directory.
    File(PathBuf),
    /// A bucket of S3, or of what speaks its protocol.
    S3(Bucket),
    /// A bucket of Google Cloud Storage.
    Gcs(Bucket),
}

/// A bucket, and what all paths in it begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// Plain segments with `/` between; empty for the whole bucket.
    pub prefix: String,
}

impl FromStr for ObjectsUrl {
    type Err = ObjectError;

    fn from_str(text: &str) -> Result<Self, ObjectError> {
        match text.split_once(':') {
            Some(("file", dir)) if !dir.is_empty() => {
                Ok(Self::File(PathBuf::from(dir.strip_prefix("//").unwrap_or(dir))))
            }
            Some(("s3", rest)) => Ok(Self::S3(bucket(text, rest)?)),
            Some(("gs", rest)) => Ok(Self::Gcs(bucket(text, rest)?)),
            _ => Err(ObjectError::BadUrl(text.split(':').next().unwrap_or_default().to_owned())),
        }
    }
}

fn bucket(text: &str, rest: &str) -> Result<Bucket, ObjectError> {
    let bad = || ObjectError::BadBucket(text.chars().take(200).collect());
    let rest = rest.strip_prefix("//").ok_or_else(bad)?;
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let named = (3..=222).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
    if !named || !(prefix.is_empty() || super::checked(prefix).is_ok()) {
        return Err(bad());
    }
    Ok(Bucket { name: name.to_owned(), prefix: prefix.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let bucket = |name: &str, prefix: &str| Bucket { name: name.into(), prefix: prefix.into() };
        let parsed = |text: &str| text.parse::<ObjectsUrl>().unwrap();
        assert_eq!(parsed("file:objects"), ObjectsUrl::File("objects".into()));
        assert_eq!(parsed("file:///srv/x"), ObjectsUrl::File("/srv/x".into()));
        assert_eq!(parsed("s3://ci-logs"), ObjectsUrl::S3(bucket("ci-logs", "")));
        assert_eq!(parsed("s3://ci-logs/a/b/"), ObjectsUrl::S3(bucket("ci-logs", "a/b")));
        assert_eq!(parsed("gs://ci.example.org/x"), ObjectsUrl::Gcs(bucket("ci.example.org", "x")));
        for bad in
            ["s3:x", "s3://", "s3://a", "s3://Up", "s3://a b", "gs://abc/../x", "gs://abc//x", "s3://-ab"]
        {
            assert!(matches!(bad.parse::<ObjectsUrl>(), Err(ObjectError::BadBucket(_))), "{bad}");
        }
        for bad in ["", "objects", "ftp://x", "file:"] {
            assert!(matches!(bad.parse::<ObjectsUrl>(), Err(ObjectError::BadUrl(_))), "{bad}");
        }
    }
}
