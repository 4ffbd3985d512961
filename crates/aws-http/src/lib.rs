//! The HTTP client under the AWS SDK: our transport below, TLS ended here.
