// Says, while a letter is edited, what it would ask for or what is wrong. Without this script, the
// same is said when the form is sent.
"use strict";

const form = document.querySelector("form[data-check]");
const checked = document.querySelector("[data-checked]");
let timer = 0;
let latest = 0;

async function check() {
  const mine = ++latest;
  let text = "Not checked: no answer from the console.";
  let isBad = true;
  try {
    const response = await fetch(form.dataset.check, {
      method: "POST",
      body: new URLSearchParams(new FormData(form)),
      redirect: "error",
    });
    if (response.ok) {
      const answer = await response.json();
      isBad = answer.asks === undefined;
      text = isBad ? answer.problem : `This ${answer.asks}.`;
    } else {
      text = `Not checked: the console answered ${response.status}.`;
    }
  } catch {
    // As said above.
  }
  if (mine !== latest) return; // the text has changed since
  checked.textContent = text;
  checked.classList.toggle("bad", isBad);
  checked.classList.toggle("good", !isBad);
}

form.elements.body.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(check, 300);
});
check();
