(function () {
  "use strict";
  var figures = JSON.parse(document.getElementById("figures").textContent);
  var charts = Array.prototype.slice.call(document.querySelectorAll(".chart"));
  if (!charts.length || typeof Plotly === "undefined") { return; }
  var drawn = new Set();

  // A string that starts with "--" names a CSS variable: the colour of the theme in use.
  function themed(value, style) {
    if (typeof value === "string" && value.indexOf("--") === 0) {
      return style.getPropertyValue(value).trim() || "inherit";
    }
    if (Array.isArray(value)) { return value.map(function (part) { return themed(part, style); }); }
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(function (pair) { return [pair[0], themed(pair[1], style)]; }));
    }
    return value;
  }

  function draw(element) {
    var figure = themed(figures[element.id], getComputedStyle(document.documentElement));
    var options = { responsive: true, displayModeBar: false, scrollZoom: false };
    Plotly.react(element, figure.data, figure.layout, options).then(function () {
      if (sizes && !drawn.has(element)) { sizes.observe(element); }
      drawn.add(element);
    });
  }

  // The width of a chart may change without the window: a scroll bar, a rotated phone, a zoomed page.
  var sizes = "ResizeObserver" in window ? new ResizeObserver(function (entries) {
    entries.forEach(function (entry) { if (entry.target.offsetWidth > 0) { Plotly.Plots.resize(entry.target); } });
  }) : null;

  function drawAll() { charts.forEach(draw); }

  if ("IntersectionObserver" in window) {
    var observer = new IntersectionObserver(function (entries) {
      entries.forEach(function (entry) {
        if (entry.isIntersecting) { observer.unobserve(entry.target); draw(entry.target); }
      });
    }, { rootMargin: "600px" });
    charts.forEach(function (element) { observer.observe(element); });
  } else {
    drawAll();
  }
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", function () { drawn.forEach(draw); });
  // Paper is always light, and shows also what was never scrolled to.
  window.matchMedia("print").addEventListener("change", drawAll);
  window.addEventListener("beforeprint", drawAll);
  window.addEventListener("afterprint", function () { drawn.forEach(draw); });
}());
