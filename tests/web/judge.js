// What a person with weak eyes, a keyboard or a screen reader would stumble over, found in the page as it stands.
// Evaluates to a list of sentences; an empty list is praise.
(() => {
  const faults = [];
  const say = (element, fault) =>
    faults.push(`<${element.tagName.toLowerCase()}${element.id ? ` #${element.id}` : ""}> ${fault}`);
  const shown = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });

  // ---- Colours, whatever notation they are in, as [r, g, b, a] with a from 0 to 1.
  const brush = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", {
    willReadFrequently: true,
  });
  const rgba = (colour) => {
    brush.clearRect(0, 0, 1, 1);
    brush.fillStyle = colour;
    brush.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = brush.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], under) => [r, g, b].map((c, i) => c * a + under[i] * (1 - a));
  const luminance = (colour) => {
    const [r, g, b] = colour.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };
  const root = getComputedStyle(document.documentElement);
  // Behind everything: both ends of the page's gradient. Behind what lies over the face: white and black pictures.
  const page = ["--glow", "--base"].map((name) => rgba(root.getPropertyValue(name)).slice(0, 3));
  const pictures = [[255, 255, 255], [0, 0, 0]];

  const backgrounds = (element) => {
    const layers = [];
    let onFace = false;
    for (let at = element; at; at = at.parentElement) {
      if (at.id === "frame") onFace = true;
      const layer = rgba(getComputedStyle(at).backgroundColor);
      if (at !== document.body && !at.matches(".face")) layers.push(layer);
      if (layer[3] === 1) break;
    }
    return (onFace ? pictures : page).map((under) => layers.reverse().reduce((below, layer) => over(layer, below), under));
  };

  const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (words.nextNode()) {
    const element = words.currentNode.parentElement;
    const hidden = element.closest("noscript, script, [aria-hidden=true], .hidden-visually, :disabled, .skip, option");
    if (!words.currentNode.data.trim() || !shown(element) || hidden) continue;
    const style = getComputedStyle(element);
    const size = parseFloat(style.fontSize);
    const needed = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    for (const under of backgrounds(element)) {
      const ratio = contrast(over(rgba(style.color), under), under);
      if (ratio < needed) say(element, `"${words.currentNode.data.trim().slice(0, 30)}" has a contrast of ${ratio.toFixed(2)}`);
    }
  }

  // ---- Names, labels, targets.
  const text = (element) => (element.getAttribute("aria-label") ?? element.innerText).trim();
  for (const button of document.querySelectorAll("button")) {
    if (!shown(button)) continue;
    if (!text(button)) say(button, "has no name");
    const visible = button.innerText.trim();
    if (visible && !text(button).includes(visible)) say(button, `is called "${text(button)}" but reads "${visible}"`);
    const { width, height } = button.getBoundingClientRect();
    if (Math.min(width, height) < 24) say(button, `is a target of ${width.toFixed(0)} × ${height.toFixed(0)}`);
  }
  for (const field of document.querySelectorAll("input, select, textarea")) {
    if (field.type === "file" || !shown(field)) continue;
    const speaks = (label) => label.textContent.trim() || label.querySelector("img[alt]:not([alt=''])");
    const named = field.labels.length ? [...field.labels].some(speaks) : field.getAttribute("aria-label");
    if (!named) say(field, "has no label");
    const described = (field.getAttribute("aria-describedby") ?? "").split(" ").filter(Boolean);
    for (const id of described) if (!document.getElementById(id)) say(field, `is described by #${id}, which is not there`);
  }
  for (const image of document.querySelectorAll("img")) if (!image.hasAttribute("alt")) say(image, "has no alt");
  for (const element of document.querySelectorAll("[aria-controls], [aria-labelledby]")) {
    for (const name of ["aria-controls", "aria-labelledby"]) {
      for (const id of (element.getAttribute(name) ?? "").split(" ").filter(Boolean)) {
        if (!document.getElementById(id)) say(element, `${name} #${id}, which is not there`);
      }
    }
  }

  // ---- The document.
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) faults.push(`#${id} is there twice`);
  if (!document.documentElement.lang) faults.push("the document has no language");
  if (!document.title) faults.push("the document has no title");
  if (document.querySelectorAll("h1").length !== 1 || !document.querySelector("main")) faults.push("no h1 or no main");
  for (const element of document.querySelectorAll("[tabindex]")) if (element.tabIndex > 0) say(element, "has a tabindex");
  const wide = document.documentElement.scrollWidth - window.innerWidth;
  if (wide > 0) faults.push(`the page is ${wide} px too wide`);
  return faults;
})();
