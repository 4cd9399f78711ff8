//! The server's side: what is refused, and how that is told.

mod body;
mod refusals;

pub use body::AnswerBody;
pub(crate) use refusals::GRPC_STATUS;
pub use refusals::Refusals;
