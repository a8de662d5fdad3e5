#include "bench/LengthPicture.h"

#include "tenon/Parallel.h"
#include "tenon/Target.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdarg>
#include <functional>

namespace tenon::command {
namespace {

// Colours that people of any colour vision tell apart: Okabe and Ito 2008. Tenon's is the strongest.
constexpr const char *kTenonColour = "#0072b2";
constexpr std::array kColours = {"#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"};
constexpr double kWidth = 980, kPanelWidth = 335, kPanelHeight = 210, kLeft = 62, kTop = 92,
                 kGapX = 148, kGapY = 70;
constexpr double kNearestLabels = 15; ///< between the baselines of two names
constexpr double kGrid = 4;           ///< steps of the axis of GFLOP/s, about

std::string format(const char *form, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, form);
  std::vsnprintf(line, sizeof line, form, arguments);
  va_end(arguments);
  return line;
}

std::string escaped(const std::string &text) {
  std::string safe;
  for (char character : text)
    safe += character == '<' ? "&lt;" : character == '&' ? "&amp;" : std::string(1, character);
  return safe;
}

struct Point {
  double length, gflops;
};
struct Line {
  std::string name, colour;
  std::vector<Point> points;
};
struct Panel {
  std::string title;
  std::vector<Point> bound;
  std::vector<Line> lines; ///< Tenon last, above all others
};

/// 1, 2 or 5 times a power of ten.
double step_below(double most) {
  const double power = std::pow(10, std::floor(std::log10(most / kGrid)));
  for (double factor : {1.0, 2.0, 5.0, 10.0})
    if (factor * power * kGrid >= most)
      return factor * power;
  return 10 * power;
}

std::string number(double value) {
  std::string digits = format("%.0f", value);
  for (size_t at = digits.size(); at > 3; at -= 3)
    digits.insert(at - 3, ",");
  return digits;
}

/// The axes of one panel, and what is drawn on them.
class Axes {
public:
  Axes(const Panel &panel, double x, double y) : panel_(panel), x_(x), y_(y) {
    for (const Point &point : panel.bound)
      most_ = std::max(most_, point.gflops);
    for (const Line &line : panel.lines)
      for (const Point &point : line.points)
        most_ = std::max(most_, point.gflops);
    step_ = step_below(most_);
    top_ = std::ceil(1.04 * most_ / step_ * 2) / 2 * step_;
    first_ = panel.bound.front().length, last_ = panel.bound.back().length;
  }

  std::string draw() const {
    std::string text = format("<text class=\"title\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", x_,
                              y_ - 14, panel_.title.c_str());
    text += grid() + bound();
    for (const Line &line : panel_.lines)
      text += curve(line);
    return text + names();
  }

private:
  double at(const Point &point) const {
    return last_ > first_
               ? x_ + kPanelWidth * std::log(point.length / first_) / std::log(last_ / first_)
               : x_;
  }
  double height(double gflops) const { return y_ + kPanelHeight * (1 - gflops / top_); }

  std::string grid() const {
    std::string text;
    for (double value = 0; value <= top_; value += step_) {
      text += format("<path class=\"%s\" d=\"M%.1f %.1fh%.1f\"/>", value == 0 ? "axis" : "grid", x_,
                     height(value), kPanelWidth);
      text += format("<text class=\"tick\" text-anchor=\"end\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
                     x_ - 8, height(value) + 4, number(value).c_str());
    }
    for (const Point &point : panel_.bound)
      text += format("<path class=\"axis\" d=\"M%.1f %.1fv4\"/><text class=\"tick\" "
                     "text-anchor=\"middle\" x=\"%.1f\" "
                     "y=\"%.1f\">%s</text>\n",
                     at(point), y_ + kPanelHeight, at(point), y_ + kPanelHeight + 18,
                     number(point.length).c_str());
    text += format("<text class=\"tick\" text-anchor=\"end\" x=\"%.1f\" y=\"%.1f\">GFLOP/s</text>",
                   x_ - 8, y_ - 2);
    return text + format("<text class=\"tick\" x=\"%.1f\" y=\"%.1f\">keys</text>\n",
                         x_ + kPanelWidth + 22, y_ + kPanelHeight + 18);
  }

  std::string path_of(const std::vector<Point> &points) const {
    std::string path;
    for (const Point &point : points)
      path += format("%c%.1f %.1f", path.empty() ? 'M' : 'L', at(point), height(point.gflops));
    return path;
  }

  std::string bound() const {
    const Point &last = panel_.bound.back();
    return "<path class=\"bound\" d=\"" + path_of(panel_.bound) + "\"/>" +
           format("<text class=\"tick\" x=\"%.1f\" y=\"%.1f\">bound %s</text>\n", at(last) + 9,
                  height(last.gflops) + 4, number(last.gflops).c_str());
  }

  std::string curve(const Line &line) const {
    const bool tenon = line.colour == kTenonColour;
    std::string text =
        format("<path class=\"line\" stroke=\"%s\" stroke-width=\"%s\" d=\"%s\"/>",
               line.colour.c_str(), tenon ? "3" : "1.8", path_of(line.points).c_str());
    for (const Point &point : line.points)
      text += format("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%s\" fill=\"%s\"><title>%s, %s keys: %s "
                     "GFLOP/s</title></circle>",
                     at(point), height(point.gflops), tenon ? "4" : "2.8", line.colour.c_str(),
                     escaped(line.name).c_str(), number(point.length).c_str(),
                     number(point.gflops).c_str());
    return text + "\n";
  }

  /// Right of where the lines end, none over another and none below the axis.
  std::string names() const {
    std::vector<const Line *> order;
    for (const Line &line : panel_.lines)
      if (!line.points.empty())
        order.push_back(&line);
    std::ranges::sort(order, std::greater(),
                      [](const Line *line) { return line->points.back().gflops; });
    std::vector<double> places;
    for (const Line *line : order)
      places.push_back(std::max(height(line->points.back().gflops) + 4,
                                places.empty() ? 0 : places.back() + kNearestLabels));
    double below = y_ + kPanelHeight + kNearestLabels;
    for (size_t i = places.size(); i-- > 0;)
      below = places[i] = std::min(places[i], below - kNearestLabels);
    std::string text;
    for (size_t i = 0; i < order.size(); ++i)
      text += format("<text class=\"%s\" style=\"fill:%s\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
                     order[i]->colour == kTenonColour ? "tenon" : "name", order[i]->colour.c_str(),
                     at(order[i]->points.back()) + 9, places[i], escaped(order[i]->name).c_str());
    return text;
  }

  const Panel &panel_;
  double x_, y_, most_ = 0, step_ = 1, top_ = 1, first_ = 1, last_ = 1;
};

std::vector<Panel> panels_of(const std::vector<ShapeCase> &cases, const HostPeaks &peaks,
                             const Beside &beside) {
  std::vector<Panel> panels;
  const std::vector<std::string> names = beside.names();
  for (const ShapeCase &made : cases) {
    const ShapeOptions &shape = made.shape;
    const std::string title = std::string(shape.dtype == "f32" ? "float32" : "bfloat16") +
                              (shape.causal.empty() ? ", full" : ", causal");
    auto panel = std::ranges::find(panels, title, &Panel::title);
    if (panel == panels.end()) {
      panels.push_back({title, {}, {}});
      panel = panels.end() - 1;
      for (size_t i = 0; i < names.size(); ++i)
        panel->lines.push_back({names[i], kColours[i % kColours.size()], {}});
      panel->lines.push_back({"Tenon", kTenonColour, {}});
    }
    const auto length = static_cast<double>(shape.keys);
    const auto gflops = [&](double milliseconds) {
      return shape.operations() / milliseconds / 1e6;
    };
    panel->bound.push_back({length, bound_of(shape, peaks).gflops});
    for (size_t i = 0; i < names.size(); ++i)
      if (const std::optional<double> theirs = beside.milliseconds(names[i], shape))
        panel->lines[i].points.push_back({length, gflops(*theirs)});
    const double ours = beside.milliseconds("Tenon", shape).value_or(median(made.timed.rounds));
    panel->lines.back().points.push_back({length, gflops(ours)});
  }
  return panels;
}

constexpr const char *kStyle = R"(<style>
text { font-family: system-ui, "DejaVu Sans", sans-serif; fill: #333 }
.head { font-size: 17px; font-weight: 600 } .sub { font-size: 12px; fill: #666 }
.title { font-size: 14px; font-weight: 600 } .tick { font-size: 11px; fill: #666 }
.name { font-size: 12px } .tenon { font-size: 13px; font-weight: 700 }
.grid { stroke: #e4e4e4; fill: none } .axis { stroke: #999; fill: none }
.bound { stroke: #888; stroke-width: 1.5; stroke-dasharray: 6 4; fill: none }
.line { fill: none; stroke-linejoin: round; stroke-linecap: round }
</style>
)";

} // namespace

std::string length_picture(const std::vector<ShapeCase> &cases, const HostPeaks &peaks,
                           const Beside &beside) {
  const std::vector<Panel> panels = panels_of(cases, peaks, beside);
  const ShapeOptions &first = cases.front().shape;
  const double rows = std::ceil(static_cast<double>(panels.size()) / 2);
  const double height = kTop + rows * (kPanelHeight + kGapY) - kGapY / 2;
  std::string svg =
      format("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" "
             "height=\"%.0f\">\n",
             kWidth, height, kWidth, height);
  svg += kStyle;
  svg += "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n";
  svg += format("<text class=\"head\" x=\"%.0f\" y=\"30\">Attention on the host: GFLOP/s over "
                "length</text>\n",
                kLeft);
  svg +=
      format("<text class=\"sub\" x=\"%.0f\" y=\"50\">%s, %d threads, %s. %d heads of width %d, %s "
             "queries "
             "in all. Pairs that a mask leaves out count for nothing.</text>\n",
             kLeft, escaped(host_features().processor).c_str(), parallel_concurrency(),
             host_target().c_str(), static_cast<int>(first.heads), static_cast<int>(first.head_dim),
             number(static_cast<double>(first.batch * first.queries)).c_str());
  for (size_t i = 0; i < panels.size(); ++i)
    svg += Axes(panels[i], kLeft + static_cast<double>(i % 2) * (kPanelWidth + kGapX),
                kTop + static_cast<double>(i / 2) * (kPanelHeight + kGapY))
               .draw();
  return svg + "</svg>\n";
}

} // namespace tenon::command
