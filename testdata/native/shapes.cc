// C++ whose hot work is inlined through namespaces, templates and a lambda. The functions that are
// inlined have no symbols: their names come from debug information alone.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <vector>

namespace geometry {

struct Point {
    double x, y;
    Point turned(double cosine, double sine) const
    {
        return { x * cosine - y * sine, x * sine + y * cosine };
    }
};

template <typename Number> Number squared(Number value) { return value * value; }

namespace {
double distance(const Point &a, const Point &b) { return squared(a.x - b.x) + squared(a.y - b.y); }
}

template <typename Shape, typename Visitor> void each_pair(const Shape &shape, Visitor visit)
{
    for (size_t i = 1; i < shape.size(); i++)
        visit(shape[i - 1], shape[i]);
}

class Polygon {
public:
    explicit Polygon(int corners)
    {
        for (int i = 0; i < corners; i++)
            points.push_back({ i % 17 * 1.5, i % 23 * 0.5 });
    }
    [[gnu::noipa]] void turn(double cosine, double sine)
    {
        for (Point &point : points)
            point = point.turned(cosine, sine);
    }
    [[gnu::noipa]] double length() const
    {
        double sum = 0;
        each_pair(points, [&sum](const Point &a, const Point &b) { sum += distance(a, b); });
        return sum;
    }

private:
    std::vector<Point> points;
};

}

int main(int argc, char **argv)
{
    geometry::Polygon polygon(4000);
    double sum = 0;
    for (time_t end = time(nullptr) + (argc > 1 ? atoi(argv[1]) : 3); time(nullptr) < end;) {
        polygon.turn(0.999950000416665, 0.00999983333416666);
        sum += polygon.length();
    }
    printf("%f\n", sum);
}
