(function () {
  "use strict";
  // Without this script every day and the coverage ratio are shown; the controls only choose.
  var controls = document.querySelector(".controls");
  var figure = document.getElementById("figure");
  var slider = document.getElementById("day");
  var all = document.getElementById("all-days");
  var name = document.getElementById("day-name");
  var blocks = Array.prototype.slice.call(document.querySelectorAll(".heat-day[data-day]"));
  var cells = Array.prototype.slice.call(document.querySelectorAll("table.heat td"));
  controls.hidden = false;

  function showFigure() {
    cells.forEach(function (cell) { cell.lastChild.textContent = cell.getAttribute("data-" + figure.value); });
  }

  function showDay() {
    blocks.forEach(function (block) {
      var chosen = block.getAttribute("data-day") === slider.value;
      block.hidden = !(all.checked || chosen);
      if (chosen) { name.textContent = block.querySelector("h4").textContent; }
    });
    slider.disabled = all.checked;
  }

  figure.addEventListener("change", showFigure);
  showFigure();
  if (slider) {
    slider.addEventListener("input", showDay);
    all.addEventListener("change", showDay);
    showDay();
  }
}());
