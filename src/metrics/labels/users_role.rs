//! Labels of metrics of the Users role.

use super::Label;

label! {
    /// Event of a phone request.
    RequestEvent "event" {
        Asked "asked" "Devices has issued the code.",
        Used "used" "A phone has used the code; its entry order is stored.",
        Again "again" "A repeated notice: the entry order is stored already.",
        Foreign "foreign" "A notice for a code that was not requested here.",
        Expired "expired" "The code has expired unused.",
        Cancelled "cancelled" "Cancelled.",
    }
}

label! {
    /// Outcome of an attempt at an entry order.
    OrderEvent "outcome" {
        Done "done" "The phone is entered at the backend.",
        Again "again" "Failed for now; it is tried again.",
        Refused "refused" "Refused by the backend; an operator is needed.",
        GivenUp "given_up" "Given up after 30 days; an operator is needed.",
    }
}
