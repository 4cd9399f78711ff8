//! `contend`.

use crate::{Outcome, program, said};

#[tokio::test]
async fn the_lease_holds_where_a_naive_lock_does_not() -> Outcome {
    let sizes = ["--processes", "6", "--sections", "24", "--stops", "2", "--term-ms", "500"];
    let said = said(0, program(&["contend"]).args(sizes)).await?;
    let row = |name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(name));
        line.map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    };
    assert_eq!(row("sections"), Some(vec!["24".to_owned(); 2]), "{said}");
    let inside = row("two inside at once").ok_or("no row")?;
    assert_ne!(inside[0], "0", "the naive lock lets two inside: {said}");
    assert_eq!(inside[1], "0", "{said}");
    assert!(said.contains("the lease held"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_store_that_there_is_not_is_bad_input() -> Outcome {
    let said = said(2, &mut program(&["contend", "--store", "mysql://host"])).await?;
    assert!(said.contains("`mysql:` names no store"), "{said}");
    Ok(())
}
