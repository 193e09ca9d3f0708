//! One WebSocket client: what waits to be sent to it, and what it is subscribed to.
//!
//! What waits is bounded in bytes. Answers wait for room, and while they do no further requests are read; events of
//! subscriptions do not wait: a client too slow for what it subscribed to is disconnected, because the alternatives
//! are to remember everything or to leave holes that it cannot see.

use std::{collections::HashMap, sync::Arc};

use alloy_primitives::B128;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

/// What one queued message costs besides its text.
const MESSAGE_OVERHEAD_BYTES: usize = 128;

/// How many messages may wait, whatever their size.
const MESSAGES_MAX: usize = 1 << 14;

/// A message on its way out.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// Text, and the room that it takes until it is written.
    Text(String, OwnedSemaphorePermit),
    /// Nothing comes after this.
    Close,
}

/// One WebSocket client.
#[derive(Debug)]
pub(crate) struct Session {
    queue: mpsc::Sender<Outgoing>,
    // Two budgets: a client that fetches something large is not thereby too slow for its events.
    answer_room: Arc<Semaphore>,
    event_room: Arc<Semaphore>,
    room_bytes: u32,
    closed: CancellationToken,
    subscriptions: Mutex<HashMap<B128, CancellationToken>>,
    subscriptions_max: usize,
}

/// The connection is gone, or was just given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

impl From<AcquireError> for Gone {
    fn from(_: AcquireError) -> Self {
        Self
    }
}

impl Session {
    /// A session whose messages are taken from the receiver. It is over when `closed` is cancelled.
    pub(crate) fn new(
        buffer_bytes: usize,
        subscriptions_max: usize,
        closed: CancellationToken,
    ) -> (Arc<Self>, mpsc::Receiver<Outgoing>) {
        let (queue, messages) = mpsc::channel(MESSAGES_MAX);
        let room_bytes = u32::try_from(buffer_bytes)
            .unwrap_or(u32::MAX)
            .min(u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX));
        let session = Self {
            queue,
            answer_room: Arc::new(Semaphore::new(room_bytes as usize)),
            event_room: Arc::new(Semaphore::new(room_bytes as usize)),
            room_bytes,
            closed,
            subscriptions: Mutex::default(),
            subscriptions_max,
        };
        (Arc::new(session), messages)
    }

    /// The signal that the session is over.
    pub(crate) fn closed(&self) -> &CancellationToken {
        &self.closed
    }

    /// What a message costs. One larger than everything takes everything: it is sent alone.
    fn cost(&self, text: &str) -> u32 {
        u32::try_from(text.len() + MESSAGE_OVERHEAD_BYTES).unwrap_or(u32::MAX).min(self.room_bytes)
    }

    /// Queues an answer as soon as there is room.
    pub(crate) async fn answer(&self, text: String) -> Result<(), Gone> {
        let room = self.answer_room.clone().acquire_many_owned(self.cost(&text)).await?;
        self.queue.send(Outgoing::Text(text, room)).await.map_err(|_| Gone)
    }

    /// Queues an event at once. Without room for it the client is disconnected.
    pub(crate) fn event(&self, text: String) -> Result<(), Gone> {
        let queued = self
            .event_room
            .clone()
            .try_acquire_many_owned(self.cost(&text))
            .is_ok_and(|room| self.queue.try_send(Outgoing::Text(text, room)).is_ok());
        if queued {
            return Ok(());
        }
        if !self.closed.is_cancelled() {
            tracing::debug!("disconnect a subscriber that does not keep up");
            self.closed.cancel();
        }
        Err(Gone)
    }

    /// Sends a last message, then closes the connection.
    pub(crate) fn finish(&self, last: String) {
        if self.event(last).is_ok() && self.queue.try_send(Outgoing::Close).is_err() {
            self.closed.cancel();
        }
    }

    /// Reserves a subscription; `None` if there are too many.
    pub(crate) fn subscribe(self: &Arc<Self>) -> Option<Subscription> {
        let mut subscriptions = self.subscriptions.lock();
        if subscriptions.len() >= self.subscriptions_max {
            return None;
        }
        let id = B128::random();
        let ended = self.closed.child_token();
        subscriptions.insert(id, ended.clone());
        Some(Subscription { id, ended, session: self.clone() })
    }

    /// Ends a subscription, if there is one.
    pub(crate) fn unsubscribe(&self, id: B128) -> bool {
        self.subscriptions.lock().remove(&id).map(|ended| ended.cancel()).is_some()
    }
}

/// A subscription of a session. It ends when it is dropped, unsubscribed, or the session is over.
#[derive(Debug)]
pub(crate) struct Subscription {
    id: B128,
    ended: CancellationToken,
    session: Arc<Session>,
}

impl Subscription {
    pub(crate) fn id(&self) -> B128 {
        self.id
    }

    /// The signal that nobody waits for its events any more.
    pub(crate) fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    /// Sends one event, already JSON.
    pub(crate) fn send(&self, json: &str) -> Result<(), Gone> {
        self.session.event(format!(
            r#"{{"jsonrpc":"2.0","method":"eth_subscription","params":{{"subscription":"{}","result":{json}}}}}"#,
            self.id
        ))
    }

    /// Says why the subscription cannot go on, and closes the connection.
    pub(crate) fn fail(&self, reason: &str) {
        tracing::debug!(reason, "disconnect a subscriber");
        self.session.finish(format!(
            r#"{{"jsonrpc":"2.0","method":"eth_subscription","params":{{"subscription":"{}","error":{{"code":-32000,"message":"{reason}"}}}}}}"#,
            self.id
        ));
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.session.unsubscribe(self.id);
    }
}

/// One request, or batch, of a session: what it starts begins only when its answer is queued, so that no event comes
/// before the answer that names its subscription.
#[derive(Clone)]
pub(crate) struct SessionRequest {
    pub(crate) session: Arc<Session>,
    starts: Arc<Mutex<Vec<BoxFuture<'static, ()>>>>,
}

impl SessionRequest {
    pub(crate) fn new(session: Arc<Session>) -> Self {
        Self { session, starts: Arc::default() }
    }

    /// Runs a task once the answer is on its way.
    pub(crate) fn start_after_answer(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.starts.lock().push(Box::pin(task));
    }

    /// The answer is on its way.
    pub(crate) fn answered(&self) {
        for task in self.starts.lock().drain(..) {
            tokio::spawn(task);
        }
    }
}
