//! Tests of `contend`.

use crate::{Outcome, output, program};

#[tokio::test]
async fn the_lease_holds_where_a_naive_lock_does_not() -> Outcome {
    let sizes = ["--processes", "6", "--sections", "24", "--stops", "2", "--term-ms", "500"];
    let text = output(0, program(&["contend"]).args(sizes)).await?;
    let row = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    };
    assert_eq!(row("sections"), Some(vec!["24".to_owned(); 2]), "{text}");
    let inside = row("two inside at once").ok_or("no row")?;
    assert_ne!(inside[0], "0", "the naive lock must let two inside: {text}");
    assert_eq!(inside[1], "0", "{text}");
    assert!(text.contains("the lease held"), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_store_of_an_unknown_scheme_is_bad_input() -> Outcome {
    let text = output(2, &mut program(&["contend", "--store", "mysql://host"])).await?;
    assert!(text.contains("`mysql:` names no store"), "{text}");
    Ok(())
}
