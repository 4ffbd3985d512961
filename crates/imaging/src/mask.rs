pub(crate) const TODO: () = ();
