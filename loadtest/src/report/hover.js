"use strict";
for (const svg of document.querySelectorAll("svg[data-hover]")) {
  const { top, foot, width, stops } = JSON.parse(svg.dataset.hover);
  const cursor = svg.querySelector(".cursor");
  const output = svg.parentElement.querySelector("output");
  const summary = output.textContent;
  let at = -1;
  // The name stays for who cannot see the plot; as an element it would pop up over the values.
  svg.setAttribute("aria-label", svg.querySelector("title").textContent + ": " + summary);
  svg.removeAttribute("aria-labelledby");
  svg.querySelector("title").remove();

  const draw = (name, attributes) => {
    const element = document.createElementNS(svg.namespaceURI, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    cursor.append(element);
  };
  const show = (index) => {
    at = Math.max(0, Math.min(stops.length - 1, index));
    const [x, text, dots] = stops[at];
    cursor.replaceChildren();
    draw("path", { d: `M${x} ${top}V${foot}` });
    for (const [y, name] of dots) draw("circle", { cx: x, cy: y, r: 4, class: name });
    output.textContent = text;
    output.className = "live";
  };
  const hide = () => {
    at = -1;
    cursor.replaceChildren();
    output.textContent = summary;
    output.className = "";
  };
  const point = (event) => {
    const box = svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * width;
    const far = (stop) => Math.abs(stop[0] - x);
    show(stops.reduce((best, stop, index) => (far(stop) < far(stops[best]) ? index : best), 0));
  };
  svg.addEventListener("pointermove", point);
  svg.addEventListener("pointerdown", point);
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("blur", hide);
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) show(at < 0 && step < 0 ? stops.length - 1 : at + step);
    else if (event.key === "Escape") hide();
    else return;
    event.preventDefault();
  });
}
