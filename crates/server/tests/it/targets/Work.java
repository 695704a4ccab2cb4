// Splits its CPU time 3:1:1 over heavy, lightA and lightB.
public class Work {
    static volatile double sink;

    static double heavy(int n) {
        double s = 0;
        for (int i = 1; i < 3 * n; i++) s += 1.0 / (i * (double) i + s);
        return s;
    }

    static double lightA(int n) {
        double s = 0;
        for (int i = 1; i < n; i++) s += 1.0 / (i * (double) i + s);
        return s;
    }

    static double lightB(int n) {
        double s = 0;
        for (int i = 1; i < n; i++) s += 1.0 / (i * (double) i + s);
        return s;
    }

    public static void main(String[] arguments) {
        long end = System.currentTimeMillis() + 300_000;
        while (System.currentTimeMillis() < end) {
            sink = heavy(20000);
            sink = lightA(20000);
            sink = lightB(20000);
        }
    }
}
