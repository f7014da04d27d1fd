// Sends the answer on without a click. Without scripts the button does it.
document.getElementById("answer").submit();
