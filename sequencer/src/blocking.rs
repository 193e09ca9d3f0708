//! Work that takes too long for the async runtime's own threads.

/// Runs work on a blocking thread and waits for it. A panic in it reaches the caller, who is alone with it.
pub(crate) async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
