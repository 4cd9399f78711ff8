//! A broken object is never handed out, however it broke.

use std::collections::HashSet;

use proptest::prelude::*;
use resilience_core::pool::Retired;

use crate::fake::{SECOND, Server};

#[derive(Debug, Clone, Copy)]
enum Step {
    Get,
    Return(usize),
    Break(usize),
    Take(usize),
    Resize(u32),
    Maintain,
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Get),
        3 => (0_usize..8).prop_map(Step::Return),
        2 => (0_usize..8).prop_map(Step::Break),
        1 => (0_usize..8).prop_map(Step::Take),
        1 => (0_u32..5).prop_map(Step::Resize),
        1 => Just(Step::Maintain),
        1 => Just(Step::Wait),
    ]
}

proptest! {
    /// Ids are never given twice: one that was broken and comes again would be seen.
    #[test]
    fn never_twice(steps in proptest::collection::vec(step(), 1..150), newest_first: bool) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let server = Server::default();
            let mut builder = server.pool(4).min_idle(1).reject();
            if newest_first {
                builder = builder.newest_first();
            }
            let pool = builder.build().unwrap();
            let (mut out, mut broken, mut max) = (Vec::new(), HashSet::new(), 4);
            for step in steps {
                let pick = |which: usize, len: usize| (len > 0).then(|| which % len);
                match step {
                    Step::Get => {
                        if let Ok(connection) = pool.get().await {
                            assert!(!broken.contains(&connection.id), "handed out again");
                            let twice = out.iter().any(|held: &resilience_core::pool::Pooled<Server>| {
                                held.id == connection.id
                            });
                            assert!(!twice, "handed out to two");
                            out.push(connection);
                        } else {
                            assert!(out.len() >= max as usize, "refused though there is room");
                        }
                    }
                    Step::Return(which) => {
                        pick(which, out.len()).map(|at| out.swap_remove(at));
                    }
                    Step::Break(which) => {
                        if let Some(at) = pick(which, out.len()) {
                            let mut connection = out.swap_remove(at);
                            connection.broken();
                            assert!(connection.is_broken());
                            broken.insert(connection.id);
                        }
                    }
                    Step::Take(which) => {
                        if let Some(at) = pick(which, out.len()) {
                            broken.insert(out.swap_remove(at).take().id);
                        }
                    }
                    Step::Resize(to) => {
                        max = to;
                        pool.resize(to);
                    }
                    Step::Maintain => pool.warm().await.unwrap(),
                    Step::Wait => tokio::time::advance(SECOND).await,
                }
                let now = pool.snapshot();
                assert_eq!(now.size, server.live(), "{now:?}");
                assert_eq!(now.size, now.idle + out.len(), "{now:?}");
                assert!(now.size <= out.len().max(max as usize), "{now:?}");
                let gone: u64 = [Retired::Broken, Retired::Taken].map(|why| now.retired(why)).iter().sum();
                assert_eq!(usize::try_from(gone).unwrap(), broken.len());
            }
            drop(out);
            drop(pool);
            assert_eq!(server.live(), 0);
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_breaks_what_it_held() {
    let server = Server::default();
    let pool = server.pool(1).build().unwrap();
    let held = pool.get().await.unwrap();
    let panicked = tokio::spawn(async move {
        let _held = held;
        panic!("on purpose");
    });
    assert!(panicked.await.unwrap_err().is_panic());
    assert_eq!((server.live(), pool.snapshot().in_use), (0, 0));
    assert_eq!(pool.snapshot().retired(Retired::Broken), 1);
    assert_eq!(pool.get().await.unwrap().id, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_out_outlives_the_pool() {
    let server = Server::default();
    let pool = server.pool(2).build().unwrap();
    crate::fake::fill(&pool, 2).await;
    let held = pool.get().await.unwrap();
    drop(pool);
    assert_eq!(server.live(), 2);
    drop(held);
    assert_eq!(server.live(), 0);
}
