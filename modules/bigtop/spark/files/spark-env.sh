# How Spark's daemons and programs run on this node; read by each of them, written by dtk.
export SPARK_LOCAL_IP={{ node.host_address | quote }}
export SPARK_DAEMON_MEMORY=128m
export {{ web_port_setting }}
# Metrics for Prometheus, on the ports of the daemons' web pages: see the links of the module to prometheus::server.
metrics=
for sink in master,/metrics/master/prometheus worker,/metrics/prometheus; do
    setting=-Dspark.metrics.conf.${sink%,*}.sink.prometheusServlet
    metrics="$metrics $setting.class=org.apache.spark.metrics.sink.PrometheusServlet $setting.path=${sink#*,}"
done
export SPARK_DAEMON_JAVA_OPTS={{ settings.spark_java_options | quote }}"$metrics"
{%- if settings.install == 'bigtop' %}
export SPARK_MASTER_HOST={{ master_host | quote }} SPARK_MASTER_IP={{ master_host | quote }}
export SPARK_MASTER_PORT={{ master_port }} SPARK_MASTER_URL=spark://{{ master_host }}:{{ master_port }}
export HADOOP_CONF_DIR=/etc/hadoop/conf
SPARK_DIST_CLASSPATH=$(hadoop classpath)
export SPARK_DIST_CLASSPATH
export SPARK_WORKER_CORES={{ settings.spark_worker_cores }} SPARK_WORKER_MEMORY={{ settings.spark_worker_memory }}
# The packages' own, /var/run/spark/work, is in memory.
export SPARK_LOG_DIR=/var/log/spark SPARK_WORKER_DIR=/var/lib/spark/work SPARK_PID_DIR=/var/run/spark
{%- endif %}
