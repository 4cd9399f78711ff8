//! An outbox: messages that are stored with the data that they announce, and delivered at least
//! once.
//!
//! A service that writes its data and then publishes a message loses the message when it is killed
//! in between. Here the message is a row of the same database, appended in the transaction of the
//! data (the *transactional outbox* pattern). Consumers claim messages under a visibility timeout;
//! a message that is not settled in time is delivered again, to any consumer.
//!
//! - Each claim has a [token](crate::flow::FencingToken) that only grows: a consumer whose claim is
//!   over settles nothing.
//! - A message that was delivered `max_deliveries` times, or whose error is permanent, becomes a
//!   dead letter with the reason. An operator [replays](Outbox::replay) it.
//! - Messages with the same [`order_key`](NewMessage::ordered_by) are delivered one after the
//!   other, in the order in which their transactions committed. Others have no order.
//!
//! | where the effect is | what is guaranteed |
//! |---|---|
//! | in the store's database, completed in the same transaction | exactly one effect |
//! | elsewhere | at least one; give it an [idempotency key](crate::flow::idempotency) |
//!
//! ```
//! use std::sync::Arc;
//! use resilience_core::flow::outbox::{NewMessage, Outbox};
//! use resilience_core::shutdown::Shutdown;
//! use resilience_core::testing::MemoryStore;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let outbox = Outbox::new(Arc::new(MemoryStore::new()));
//! outbox.append(vec![NewMessage::new("box-scores", "2026-01-18").ordered_by("game-7")]).await?;
//!
//! let shutdown = Shutdown::builder().build()?;
//! let token = shutdown.token();
//! let consumer = outbox.consumer("box-scores").build()?;
//! let consumed = consumer.run(&token, |message| {
//!     assert_eq!(message.payload, b"2026-01-18");
//!     let token = token.clone();
//!     async move {
//!         token.begin("the example is over");
//!         Ok::<_, std::io::Error>(())
//!     }
//! });
//! let (consumed, report) = tokio::join!(consumed, shutdown.run());
//! assert_eq!(consumed.completed, 1);
//! assert!(report.is_clean());
//! # Ok(())
//! # }
//! ```

mod consumer;
mod handle;
mod message;
mod queue;
mod store;

pub use consumer::{Consumed, Consumer, ConsumerBuilder};
pub use handle::Outbox;
pub use message::{
    ClaimRequest, Claimed, DeadLetter, Delivery, Depth, MessageId, NewMessage, Receipt,
};
pub use queue::{MessageQueue, UNSETTLED};
pub use store::OutboxStore;
