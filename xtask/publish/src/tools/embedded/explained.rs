//! The errors of the embedded server, with reasons. The crate underneath answers every failed read or write of its
//! files with a bare `InternalError`, which clients take for overload, so they retry.

use std::io::{self, ErrorKind};
use std::pin::Pin;

use hyper::StatusCode;
use s3s::dto::*;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result};
use s3s_fs::FileSystem;

/// The server, with reasons.
#[derive(Debug)]
pub struct Explained {
    pub files: FileSystem,
    /// Directory of its files, for messages.
    pub data: String,
}

impl Explained {
    /// Adds the system's reason, if there is one, to an error.
    fn explain(&self, error: S3Error) -> S3Error {
        match cause(&error) {
            Some(cause) if *error.code() == S3ErrorCode::InternalError => self.failed(cause),
            Some(_) | None => error,
        }
    }

    /// Adds the system's reason to an error of reading an object: the crate treats every file that it cannot open as
    /// missing.
    fn explain_read(&self, error: S3Error) -> S3Error {
        let Some(cause) = cause(&error) else { return error };
        match cause.kind() {
            ErrorKind::NotFound | ErrorKind::InvalidFilename => S3Error::new(S3ErrorCode::NoSuchKey),
            // The key is a prefix of other keys, or another key is a prefix of it.
            ErrorKind::IsADirectory | ErrorKind::NotADirectory => S3Error::new(S3ErrorCode::NoSuchKey),
            _ => self.failed(cause),
        }
    }

    fn failed(&self, cause: &io::Error) -> S3Error {
        let data = &self.data;
        let (code, message) = match cause.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                ("StorageFull", format!("no space left in {data} ({cause})"))
            }
            _ => ("StorageError", format!("a file in {data} cannot be used: {cause}")),
        };
        let mut error = S3Error::with_message(S3ErrorCode::Custom(code.into()), message);
        // Clients do not retry this status.
        error.set_status_code(StatusCode::INSUFFICIENT_STORAGE);
        error
    }
}

fn cause(error: &S3Error) -> Option<&io::Error> {
    error.source().and_then(|source| source.downcast_ref())
}

/// The return type that `#[async_trait]` gives an `async fn`.
type Answer<'a, T> = Pin<Box<dyn Future<Output = S3Result<S3Response<T>>> + Send + 'a>>;

macro_rules! explained {
    ($($explain:ident: $operation:ident($input:ty) -> $output:ty;)*) => {
        impl S3 for Explained {
            $(
                fn $operation<'s, 'a>(&'s self, request: S3Request<$input>) -> Answer<'a, $output>
                where
                    's: 'a,
                    Self: 'a,
                {
                    Box::pin(async move {
                        self.files.$operation(request).await.map_err(|error| self.$explain(error))
                    })
                }
            )*
        }
    };
}

explained! {
    explain: abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput;
    explain: complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput;
    explain: create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput;
    explain: delete_object(DeleteObjectInput) -> DeleteObjectOutput;
    explain: get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput;
    explain_read: get_object(GetObjectInput) -> GetObjectOutput;
    explain: head_bucket(HeadBucketInput) -> HeadBucketOutput;
    explain_read: head_object(HeadObjectInput) -> HeadObjectOutput;
    explain: list_buckets(ListBucketsInput) -> ListBucketsOutput;
    explain: list_objects(ListObjectsInput) -> ListObjectsOutput;
    explain: list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output;
    explain: list_parts(ListPartsInput) -> ListPartsOutput;
    explain: put_object(PutObjectInput) -> PutObjectOutput;
    explain: upload_part(UploadPartInput) -> UploadPartOutput;
}
